"""Work with torch on a machine that people use: few threads, and errors as sentences."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from napari_backfat.model.errors import BackfatError
from napari_backfat.segment.devices import out_of_memory

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def torch_at_work(device: str) -> Iterator[None]:
    """Use half the cores inside the block, and turn what torch raises into sentences.

    Parameters
    ----------
    device : str
        Named in the sentences.

    Raises
    ------
    BackfatError
        Instead of MemoryError and of RuntimeError: GUI worker threads swallow the latter, and
        torch raises little else.
    """
    import torch
    from threadpoolctl import threadpool_limits

    threads = torch.get_num_threads()
    # Matrices of resampling are too small for several threads, which wait for each other.
    blas = threadpool_limits(limits=1, user_api="blas")
    try:
        # Threads that wait for each other are slow as soon as anything else is busy: with two
        # threads on two busy cores the real case took 26 s, with one 8 s. Half the cores also
        # leave the window responsive.
        torch.set_num_threads(max(1, threads // 2))
        yield
    except BackfatError:
        raise
    except MemoryError as error:
        raise out_of_memory(device) from error
    except RuntimeError as error:
        if "memory" in str(error).lower() or "alloc" in str(error).lower():
            raise out_of_memory(device) from error
        raise BackfatError(
            f"The network failed on the device '{device}' ({_first_line(error)}). "
            "Try the device 'cpu'."
        ) from error
    finally:
        torch.set_num_threads(threads)
        blas.restore_original_limits()


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:200]
