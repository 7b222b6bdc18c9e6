"""Profiles: updates of one person folded into one call, singly or in import jobs; two of one made one."""
