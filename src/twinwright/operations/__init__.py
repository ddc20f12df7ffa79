"""Operating the platform: the KPIs that say whether its twins can be trusted."""
