"""How finished objects are shown: Labels layers of any size, colours, the object table."""
