"""Feast as the one definition of features: entities, views, services, and the stores behind them."""
