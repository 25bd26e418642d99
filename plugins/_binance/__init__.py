"""The parts of the Binance exchange plugin. Loaded when an instance opens its line, never with the plugin file itself."""
