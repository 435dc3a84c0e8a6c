"""Where rocks are found: servers, manifests and their cache."""
