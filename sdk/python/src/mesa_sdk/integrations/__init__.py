"""Mesa in other packages' interfaces. Each module needs the package that it is for."""
