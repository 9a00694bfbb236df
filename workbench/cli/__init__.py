"""The shell face."""


def main() -> None:
    raise SystemExit(2)
