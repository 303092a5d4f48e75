"""How messages come in; each kind of door has its own file, and is given what it needs of the dispatcher."""
