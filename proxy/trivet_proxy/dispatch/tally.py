"""What happened to a pool's requests in this process, counted; shown on the queue board.

The hot path only adds. Knows no request and no slot.
"""

from trivet_common.pool.queue_board import QueueCounts


class Tally:
    """See QueueCounts for what each number means."""

    __slots__ = QueueCounts._fields

    def __init__(self) -> None:
        self.claims = 0
        self.late = 0
        self.retries = 0
        self.returns = 0
        self.timeouts = 0
        self.deaths = 0
        self.full = 0
        self.expired = 0

    def __repr__(self) -> str:
        return f"<Tally {', '.join(f'{name}={count}' for name, count in self.counts()._asdict().items())}>"

    def counts(self) -> QueueCounts:
        return QueueCounts(*(getattr(self, name) for name in self.__slots__))
