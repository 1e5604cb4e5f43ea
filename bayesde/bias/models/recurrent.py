r"""Recurrent neural networks that predict each base from all bases before it.

The model of Zhang, Wang, Wan and Zheng 2017 (doi:10.1186/s12864-016-3262-5): one layer of gated recurrent
units (Cho et al. 2014, doi:10.3115/v1/D14-1179) or of long short-term memory (Hochreiter and Schmidhuber
1997, doi:10.1162/neco.1997.9.8.1735),

    h_k = cell(h_{k-1}, one-hot of s_{k-1}),  p(s_k | s_1, ..., s_{k-1}) = softmax(W h_k + c),

one network for the foreground and one for the background, fitted by Adam (Kingma and Ba 2015,
arXiv:1412.6980) to the mean log probability of the training set. Training stops when that of the validation
set has not risen for some epochs, and the weights of its best epoch are kept. The same seed gives the same
weights on the same machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesde.bias.models.interface import BiasModel
from bayesde.bias.needs import library
from bayesde.bias.samples import Sequences

__all__ = ["RecurrentModel", "fit_recurrent"]

BATCH, RATE = 256, 0.01
"""Sequences of a step, and the first step size of Adam, which is halved after an epoch without progress."""
PATIENCE, MOST_EPOCHS = 4, 60
_AT_ONCE = 20_000


@dataclass(frozen=True, eq=False)
class RecurrentModel:
    """A recurrent network with its weights.

    Attributes
    ----------
    network : torch.nn.Module
    n_parameters : int
        Number of weights.
    epochs : int
        Of training, up to the best.
    """

    network: Any
    n_parameters: int
    epochs: int

    def log_prob(self, sequences: np.ndarray) -> np.ndarray:
        """Return the log probability of each sequence.

        Parameters
        ----------
        sequences : ndarray uint8 (sequence, base)

        Returns
        -------
        ndarray float64 (sequence,)
        """
        parts = [sequences[i : i + _AT_ONCE] for i in range(0, len(sequences), _AT_ONCE)]
        with _one_thread() as torch, torch.no_grad():
            found = [self.network(_tensor(torch, part)).numpy() for part in parts]
        return np.concatenate([np.zeros(0), *found])


def fit_recurrent(
    training: Sequences, validation: Sequences, cell: str, units: int, rng: np.random.Generator
) -> BiasModel:
    """Train networks of the foreground and of the background.

    Parameters
    ----------
    training, validation : Sequences
    cell : {"gru", "lstm"}
    units : int
        Size of the hidden state.
    rng : numpy.random.Generator
        Of the first weights and of the order of sequences.

    Returns
    -------
    BiasModel
    """
    pairs = (
        (training.foreground, validation.foreground),
        (training.background, validation.background),
    )
    models = [_trained(*pair, cell, units, int(rng.integers(2**31))) for pair in pairs]
    return BiasModel(cell, models[0], models[1], training.window)


@contextmanager
def _one_thread() -> Iterator[Any]:
    """Compute on one thread, which is faster for layers as small as these."""
    torch = library("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield torch
    finally:
        torch.set_num_threads(before)


def _tensor(torch: Any, sequences: np.ndarray) -> Any:
    return torch.from_numpy(np.ascontiguousarray(sequences, dtype=np.int64))


def _trained(
    training: np.ndarray, validation: np.ndarray, cell: str, units: int, seed: int
) -> RecurrentModel:
    """Train one network."""
    with _one_thread() as torch, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _network_class(torch)(cell, units)
        judged = _tensor(torch, validation if len(validation) else training)
        best, epochs = _fit(torch, network, _tensor(torch, training), judged)
        network.load_state_dict(best)
        network.eval()
    return RecurrentModel(network, sum(one.numel() for one in network.parameters()), epochs)


def _fit(torch: Any, network: Any, training: Any, validation: Any) -> tuple[dict[str, Any], int]:
    """Train until the validation set says stop; return the best weights and their epoch."""
    adam = torch.optim.Adam(network.parameters(), lr=RATE)
    halving = torch.optim.lr_scheduler.ReduceLROnPlateau(adam, mode="max", factor=0.5, patience=0)
    best, best_epoch, highest = {}, 0, -np.inf
    for epoch in range(1, MOST_EPOCHS + 1):
        for batch in torch.randperm(len(training)).split(BATCH):
            adam.zero_grad()
            loss = -network(training[batch]).mean() / training.shape[1]
            loss.backward()
            adam.step()
        with torch.no_grad():
            reached = float(network(validation).mean())
        halving.step(reached)
        if reached > highest:
            highest, best_epoch = reached, epoch
            best = {name: value.clone() for name, value in network.state_dict().items()}
        elif epoch - best_epoch >= PATIENCE:
            break
    return best, best_epoch


def _network_class(torch: Any) -> Any:
    """Make the class of networks, which can only be defined once torch is loaded."""

    class Network(torch.nn.Module):
        """One recurrent layer and a softmax."""

        def __init__(self, cell: str, units: int) -> None:
            super().__init__()
            self.embedding = torch.nn.Embedding.from_pretrained(torch.eye(5, 4), freeze=True)
            kind = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[cell]
            self.layer = kind(4, units, batch_first=True)
            self.output = torch.nn.Linear(units, 4)

        def forward(self, sequences: Any) -> Any:
            """Return log probabilities of sequences (sequence, base)."""
            before = torch.nn.functional.pad(sequences[:, :-1], (1, 0), value=4)  # 4 stands for no base
            hidden, _ = self.layer(self.embedding(before))
            scores = torch.log_softmax(self.output(hidden), dim=2)
            return scores.gather(2, sequences[:, :, None])[:, :, 0].sum(dim=1).double()

    return Network
