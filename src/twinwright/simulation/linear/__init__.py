"""Linear models: the entries of their files, state spaces and transfer functions. What runs them is `models/linear.py`."""
