"""Make the table of what initializers gain from each source on each dataset."""

from ansatz.files.atomic import write_text
from ansatz.files.tables import read_csv, write_csv
from ansatz.job import job
from ansatz.reporting import transfer

with job(snakemake.log[0]):
    table, speed = read_csv(snakemake.input.table), read_csv(snakemake.input.speed)
    gains = transfer.tabulate(table, speed, snakemake.params.drawn)
    write_csv(snakemake.output.csv, gains.round(6))
    write_text(snakemake.output.markdown, transfer.to_markdown(gains))
