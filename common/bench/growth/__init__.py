"""How cost grows along one axis at a time: sites, parameters, classes, columns, records."""
