"""Another build of the program in the place of the one that runs: packets flow, and all state stays."""
