"""What a Kong plugin is: anatomy, check, scaffold, and the shipping formats."""
