"""Sources of telemetry, one file each, and the runner that supervises them. They load by entry points in `twinwright.connectors`."""
