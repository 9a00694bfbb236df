"""Values, events, errors, clock, settings: what every layer may know. Only stdlib, msgspec and platformdirs."""
