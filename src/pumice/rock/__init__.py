"""What a rock is: version, constraint, platform, rockspec, rock_manifest, Rock, and the .rock file."""
