"""From raw files to the lake: read, check against the contract, quarantine, publish, remember."""
