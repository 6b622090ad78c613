"""The exception that is meant for the person at the keyboard."""


class UserError(Exception):
    """Bad input, told in one sentence: the value, what was expected, the fix.

    Command lines print the sentence and exit with code 2; nothing is written before it is raised.
    """
