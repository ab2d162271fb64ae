"""The `graft` command: the doors of `finetune`, `zoo` and `serve` in one."""

from __future__ import annotations

import typer

from finetune.__main__ import app as finetune_app
from finetune.__main__ import run_app
from serve.__main__ import app as serve_app
from zoo.__main__ import app as zoo_app

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
app.registered_commands += [*finetune_app.registered_commands, *serve_app.registered_commands]
app.add_typer(zoo_app, name="zoo")


def main() -> None:
    """Run the command line."""
    run_app(app)


if __name__ == "__main__":
    main()
