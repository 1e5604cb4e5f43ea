r"""A recurrent neural network that predicts each base from all bases before it.

The model of Zhang, Wang, Wan and Zheng 2017 (doi:10.1186/s12864-016-3262-5): one layer of gated recurrent
units (Cho et al. 2014, doi:10.3115/v1/D14-1179) or of long short-term memory (Hochreiter and Schmidhuber
1997, doi:10.1162/neco.1997.9.8.1735),

    h_k = cell(h_{k-1}, (s_{k-1}, k, z)),  p(s_k | s_1, ..., s_{k-1}, z) = softmax(W h_k + c_{kz})

with one-hot inputs. z is the set that a sequence is from, foreground or background. Two things differ from
the paper. It trains a network for each set; here one network has the set as an input, so that the composition
of genes, which both sets share, is learnt once and cancels in the ratio. And the position k is an input, and
the constants c_{kz} belong to it, which start as position weights: cells of 10 or 20 units need not count. On
the data of `benchmarks/bias/README.md` both are needed to match the Bayesian network.

The network is fitted by Adam (Kingma and Ba 2015, arXiv:1412.6980) to the mean log probability of the
training set. Training stops when that of the validation set has not risen for some epochs, and the weights of
its best epoch are kept. The same seed gives the same weights on the same machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from bayesde.bias.models.interface import BiasModel
from bayesde.bias.models.tables import count_table, smoothed
from bayesde.bias.needs import library
from bayesde.bias.samples import Sequences

__all__ = ["RecurrentModel", "fit_recurrent"]

BATCH, RATE = 256, 0.01
"""Sequences of a step, and the first step size of Adam."""
REDUCTION = 0.3
"""Of the step size, after two epochs without progress."""
PATIENCE, MOST_EPOCHS = 4, 40
"""Epochs without progress after which training stops, and epochs after which it stops in any case."""
_AT_ONCE = 20_000


@dataclass(frozen=True, eq=False)
class RecurrentModel:
    """A recurrent network, for one of the sets.

    Attributes
    ----------
    network : torch.nn.Module
        The same for both sets.
    z : int
        0 for the foreground, 1 for the background.
    n_parameters : int
        Number of weights; those of the network are counted once, for the foreground.
    epochs : int
        Of training, up to the best.
    """

    network: Any
    z: int
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
        found = [np.zeros(0)]
        with _one_thread() as torch, torch.no_grad():
            for low in range(0, len(sequences), _AT_ONCE):
                bases = _bases(torch, sequences[low : low + _AT_ONCE])
                found.append(self.network(bases, torch.full((len(bases),), self.z)).double().numpy())
        return np.concatenate(found)


class _Labelled(NamedTuple):
    """Sequences of both sets, and the set of each, as tensors."""

    bases: Any
    z: Any


def fit_recurrent(
    training: Sequences, validation: Sequences, cell: str, units: int, rng: np.random.Generator
) -> BiasModel:
    """Train a network of foreground and background.

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
    with _one_thread() as torch, torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        network = _network(torch, cell, units, training)
        judged = validation if len(validation.foreground) else training
        best, epochs = _train(torch, network, _labelled(torch, training), _labelled(torch, judged))
        network.load_state_dict(best)
    size = sum(one.numel() for one in network.parameters())
    foreground, background = RecurrentModel(network, 0, size, epochs), RecurrentModel(network, 1, 0, epochs)
    return BiasModel(cell, foreground, background, training.window)


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


def _bases(torch: Any, sequences: np.ndarray) -> Any:
    return torch.from_numpy(np.ascontiguousarray(sequences, dtype=np.int64))


def _labelled(torch: Any, sequences: Sequences) -> _Labelled:
    sets = (sequences.foreground, sequences.background)
    z = np.repeat([0, 1], [len(one) for one in sets])
    return _Labelled(_bases(torch, np.concatenate(sets)), torch.from_numpy(z))


def _train(
    torch: Any, network: Any, training: _Labelled, validation: _Labelled
) -> tuple[dict[str, Any], int]:
    """Train until the validation set says stop; return the best weights and their epoch."""
    adam = torch.optim.Adam(network.parameters(), lr=RATE)
    reducing = torch.optim.lr_scheduler.ReduceLROnPlateau(adam, mode="max", factor=REDUCTION, patience=1)
    best, best_epoch, highest = {}, 0, -np.inf
    for epoch in range(1, MOST_EPOCHS + 1):
        for batch in torch.randperm(len(training.z)).split(BATCH):
            adam.zero_grad()
            loss = -network(training.bases[batch], training.z[batch]).mean() / training.bases.shape[1]
            loss.backward()
            adam.step()
        with torch.no_grad():
            reached = float(network(*validation).mean())
        reducing.step(reached)
        if reached > highest:
            highest, best_epoch = reached, epoch
            best = {name: value.clone() for name, value in network.state_dict().items()}
        elif epoch - best_epoch >= PATIENCE:
            break
    return best, best_epoch


def _network(torch: Any, cell: str, units: int, training: Sequences) -> Any:
    """Make a network whose constants are the position weights of the training set."""
    constants = [
        np.concatenate([np.log(smoothed(count_table(one.T, (), j))) for j in range(training.window)])
        for one in (training.foreground, training.background)
    ]
    network = _network_class(torch)(cell, units, training.window)
    network.constants.data = torch.tensor(np.array(constants), dtype=torch.float32)
    return network


def _network_class(torch: Any) -> Any:
    """Make the class of networks, which can only be defined once torch is loaded."""
    one_hot, pad = torch.nn.functional.one_hot, torch.nn.functional.pad

    class Network(torch.nn.Module):
        """One recurrent layer and a softmax for each set."""

        def __init__(self, cell: str, units: int, window: int) -> None:
            super().__init__()
            kind = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[cell]
            self.layer = kind(4 + window + 2, units, batch_first=True)
            self.weights = torch.nn.Parameter(0.01 * torch.randn(2, units, 4))
            self.constants = torch.nn.Parameter(torch.zeros(2, window, 4))

        def forward(self, bases: Any, z: Any) -> Any:
            """Return log probabilities of sequences (sequence, base) from the sets z (sequence,)."""
            number, window = bases.shape
            before = pad(one_hot(bases[:, :-1], 4), (0, 0, 1, 0))  # zeros stand for no base
            place = torch.eye(window).expand(number, -1, -1)
            origin = one_hot(z, 2)[:, None, :].expand(-1, window, -1)
            hidden, _ = self.layer(torch.cat([before, place, origin], dim=2))
            scores = torch.log_softmax(hidden @ self.weights[z] + self.constants[z], dim=2)
            return scores.gather(2, bases[:, :, None])[:, :, 0].sum(dim=1)

    return Network
