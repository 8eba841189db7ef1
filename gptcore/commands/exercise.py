"""`exercise`: list the exercises, print the stub of one, or check a solution."""

import argparse
import json

from gptcore.lessons.exercises import get_exercise, registry, stub
from gptcore.lessons.exercises.checker import check_file


def run(options: argparse.Namespace) -> int:
    if options.name is None:
        for exercise in sorted(registry().values(), key=lambda exercise: exercise.chapter):
            listed = {"name": exercise.name, "chapter": exercise.chapter, "title": exercise.title}
            print(
                json.dumps(listed)
                if options.json
                else "{name:24} chapter {chapter:2}   {title}".format(**listed)
            )
        return 0
    if options.file is None:
        print(stub(get_exercise(options.name)), end="")
        return 0
    verdict = check_file(options.name, options.file)
    if options.json:
        print(json.dumps({"name": options.name, **verdict.to_dict()}, ensure_ascii=False))
    else:
        print(f"{verdict.mistake}: {verdict.says}" if verdict.mistake else verdict.says)
    return 0 if verdict.passed else 1
