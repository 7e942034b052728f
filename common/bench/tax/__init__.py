"""What a federation costs in quality against one curator, by number of sites, split and schedule."""
