"""Where everything is kept: the Store protocol, its logical tables, the commit log, and the engines behind them."""
