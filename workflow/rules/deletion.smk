"""`snakemake --delete-all-output` deletes what is this run's alone.

Networks and statistics in `<resources>` may be other configurations' too, or were put there by the
user. So they count as write-protected then, which Snakemake leaves alone and says so.
"""

delete_output = workflow.delete_output


def delete_own_output(**options):
    """Delete outputs, but for those in the folder that configurations share."""
    from snakemake.io import _IOFile

    from adagen.runtime.outputs import lies_in

    protected = _IOFile.protected

    async def shared_or_protected(file):
        return lies_in(Path(file), Path(CONFIG.resources)) or await protected(file)

    _IOFile.protected = shared_or_protected
    print(
        f"Files in {CONFIG.resources} are kept, as other configurations may share them.",
        file=sys.stderr,
    )
    delete_output(**options)


workflow.delete_output = delete_own_output
