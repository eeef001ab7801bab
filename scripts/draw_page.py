"""Draw the page of results: tables and interactive charts of all sections in one HTML file."""

from ansatz.files.atomic import write_text
from ansatz.job import job
from ansatz.reporting.page.render import render

TRACKED = ("library", "frame")  # inputs that only say when to draw it again

with job(snakemake.log[0]):
    material = {key: files for key, files in snakemake.input.items() if key not in TRACKED}
    material |= {key: value for key, value in snakemake.params.items() if key != "name"}
    write_text(snakemake.output.page, render(snakemake.params.name, material))
