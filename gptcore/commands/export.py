"""`export`: write a model in another format."""

import argparse

from gptcore.formats import export


def run(options: argparse.Namespace) -> None:
    print(export.export(options.dir, options.to, options.out, options.type, standalone=options.standalone))
