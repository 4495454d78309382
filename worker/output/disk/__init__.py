"""What the spool is made of: its file, its turns, and the journal of this life."""
