"""The pictures of the course in graphs/README.md: `python -m bench.pictures [NAME]...` makes them anew.

Each is made by one command that anyone can run; without a name all are made, which takes some minutes.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import click

ROOT = Path(__file__).parent.parent
FOLDER = "graphs/pictures"

COMMANDS = {  # the name of the picture, which is the last argument
    "vector_self_sum.svg": "dagexec draw graphs/vector_self_sum.py --level ops -o",
    "matrix_vector.svg": "dagexec draw graphs/matrix_vector.py --level scalar -o",
    "multiply.svg": "dagexec draw graphs/first_steps.py -p what=multiply -p how=define-by-run --level ops -o",
    "max_pool.svg": "dagexec draw graphs/first_steps.py -p what=max-pool -p how=define-by-run --level ops -o",
    "equation.png": "dagexec train graphs/equation.py --plot",
    "equation_system.png": "dagexec train graphs/equation_system.py --plot",
    "line.png": "dagexec train graphs/line.py --compare batch=1,10,200 --plot",
    "overfitting.png": "dagexec train graphs/overfitting.py --compare degree=1,3,15 --plot",
    "circle.png": "dagexec train graphs/circle.py --plot",
    "circle_scalar.svg": "dagexec draw graphs/circle_scalar.py -p grid=2 -p hidden=2 --level high -o",
    "fnn.svg": "dagexec draw graphs/fnn.py --level high -o",
    "rnn.svg": "dagexec draw graphs/rnn.py -p steps=4 --level high -o",
    "digits_mlp.svg": "dagexec draw graphs/digits_mlp.py --level high -o",
    "optimisers.png": "dagexec train graphs/digits_mlp.py --compare "
    "optimiser=sgd,momentum,nesterov,adagrad,rmsprop,adam --plot",
    "initialisations.png": "dagexec train graphs/digits_mlp.py -p depth=10 -p norms=yes "
    "-p activation=leaky_relu --epochs 10 --compare initialisation=small,xavier,he,large --plot",
    "activations.png": "dagexec train graphs/digits_mlp.py -p depth=10 -p norms=yes -p optimiser=sgd "
    "--epochs 10 --compare activation=sigmoid,tanh,relu,gelu --plot",
    "batch_norm.png": "dagexec train graphs/digits_mlp.py -p depth=10 -p activation=sigmoid -p optimiser=sgd "
    "-p norms=yes --epochs 10 --compare batch_norm=no,yes --plot",
    "weight_decay.png": "dagexec train graphs/digits_mlp.py -p examples=150 -p width=128 -p optimiser=adamw "
    "--epochs 100 --compare weight_decay=0,1,10 --plot",
    "dropout.png": "dagexec train graphs/digits_mlp.py -p examples=150 -p width=128 --epochs 100 "
    "--compare dropout=0,0.3,0.6 --plot",
    "convolution_1d.png": "dagexec train graphs/convolution_1d.py --compare pooling=max,avg,none --plot",
    "convolution_2d.svg": "dagexec draw graphs/convolution_2d.py -p pooling=max --level high -o",
    "convolution_2d.png": "dagexec train graphs/convolution_2d.py --compare pooling=none,max,avg --plot",
    "digits_cnn.svg": "dagexec draw graphs/digits_cnn.py --level high -o",
    "digits_cnn.png": "dagexec train graphs/digits_cnn.py -p batch_norm=yes --compare depth=3,8 --plot",
    "vgg.png": "dagexec train graphs/vgg.py -p layers=16 --compare batch_norm=no,yes --plot",
    "sequence_classifier.png": "dagexec train graphs/sequence_classifier.py -p read=pixel "
    "--compare cell=rnn,lstm,gru --plot",
    "translation.png": "python graphs/translation.py",
    "autoencoder.png": "python graphs/autoencoder.py",
    "time_series.png": "python graphs/time_series.py",
    "language_model.png": "dagexec train graphs/language_model.py --compare model=rnn,transformer --plot",
    "text_classification.png": "dagexec train graphs/text_classification.py --compare model=bag,cnn --plot",
    "tagging.png": "dagexec train graphs/tagging.py -p task=segmentation --compare crf=no,yes --plot",
    "transformer_classifier.png": "dagexec train graphs/transformer_classifier.py "
    "--compare positions=yes,no --plot",
    "translation_transformer.svg": "dagexec draw graphs/translation_transformer.py --level high -o",
    "genetic.svg": "dagexec draw graphs/genetic.py -p population=4 -p elite=1 --level high -o",
    "data_parallel.svg": "dagexec draw graphs/data_parallel.py -p shards=2 -p hidden=64 --level high -o",
    "word_count.svg": "dagexec draw graphs/word_count.py -p documents=4 -o",
}


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
def main(names: tuple[str, ...]) -> None:
    """Make the pictures NAME, or all."""
    for name in names:
        if name not in COMMANDS:
            raise click.UsageError(f"there is no picture {name!r}; there are: {', '.join(COMMANDS)}")
    for name in names or COMMANDS:
        command = f"{COMMANDS[name]} {FOLDER}/{name}"
        click.echo(command)
        subprocess.run(_arguments(command), cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def _arguments(command: str) -> list[str]:
    """The command with this Python."""
    program, *rest = shlex.split(command)
    return [sys.executable, *(["-m", "dagexec"] if program == "dagexec" else []), *rest]


if __name__ == "__main__":
    main(prog_name="python -m bench.pictures")
