"""The strategies of rule 5, one a file: each is told a signal and says what it wants, or why it waits."""
