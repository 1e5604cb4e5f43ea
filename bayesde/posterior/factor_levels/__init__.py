"""The levels of a large factor: integrated out, and drawn afterwards."""
