"""The state proxy and pool share: paths, boards, the idle FIFO, the rules of a claim."""
