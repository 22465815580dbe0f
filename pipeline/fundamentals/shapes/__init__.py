"""How each vendor packs what it says, a module each. What its names mean, the registry says."""
