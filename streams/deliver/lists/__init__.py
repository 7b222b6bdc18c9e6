"""Lists: who is put on them and who leaves, which list a name means, and the guard against emptying one."""
