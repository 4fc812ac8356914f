"""What the command says when it cannot do what was asked: one clear line, and an exit status."""

# The exit statuses of the command.
GOOD, FAILED, USAGE, NOTHING_RUNS = range(4)


class Refusal(Exception):
    """One sentence for the user, and the exit status it means."""

    def __init__(self, text: str, status: int = FAILED) -> None:
        super().__init__(text)
        self.status = status
