"""Pure trading thought in the kernel dialect: numbers in, numbers out; compiled unchanged by the fast backtest."""
