#!/usr/bin/env python3
"""Names that lessons and docstrings call the kernel's, as far as the kernel has them.

    python tools/kernel_names.py SOURCE

SOURCE is the unpacked source of the kernel of memsim/words/baseline.py. Writes
tests/data/kernel_names.tsv: a name and the file that it was looked for in ("": any). Says which
names are not there.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from kernel_names import DATA, of_docstrings, of_exercises, of_lessons

#: Of files that SOURCE may be without, as a part of the kernel's is: looked up by hand in 6.12.
ELSEWHERE = {
    "arch/x86/include/asm/pgtable_32_areas.h": "VMALLOC_START VMALLOC_END VMALLOC_OFFSET",
    "arch/x86/include/asm/pgtable_64_types.h": "VMALLOC_START VMALLOC_END",
    "arch/x86/include/asm/pgtable_types.h": "_PAGE_PRESENT",
    "arch/x86/include/asm/tsc.h": "get_cycles",
    "arch/x86/kernel/e820.c": "e820__memblock_setup e820__print_table e820__range_update "
    "e820__update_table e820_print_type",
    "arch/x86/kernel/pci-dma.c": "pci_swiotlb_detect",
    "arch/x86/kernel/setup.c": "early_reserve_initrd early_reserve_memory setup_arch "
    "trim_bios_range",
    "arch/x86/kernel/setup_percpu.c": "setup_per_cpu_areas",
    "arch/x86/realmode/init.c": "reserve_real_mode",
    "drivers/acpi/numa/srat.c": "acpi_numa_init",
    "drivers/iommu/iova.c": "iova_magazine",
    "fs/binfmt_elf.c": "load_elf_binary",
    "fs/dcache.c": "dcache_init_early dentry_free",
    "fs/exec.c": "bprm_mm_init exec_mmap",
    "fs/ext4/inode.c": "__ext4_iget",
    "fs/inode.c": "evict inode_init_early",
    "fs/namei.c": "path_openat",
    "fs/proc/base.c": "__set_oom_adj",
    "fs/proc/meminfo.c": "meminfo_proc_show show_val_kb",
    "include/asm-generic/getorder.h": "get_order",
    "include/asm-generic/memory_model.h": "__page_to_pfn __pfn_to_page",
    "include/asm-generic/tlb.h": "tlb_remove_page",
    "include/uapi/asm-generic/errno-base.h": "ENOMEM EBUSY",
    "include/uapi/linux/oom.h": "OOM_SCORE_ADJ_MIN OOM_SCORE_ADJ_MAX",
    "init/main.c": "start_kernel kernel_init_freeable",
    "kernel/sched/core.c": "context_switch",
    "kernel/sched/wait.c": "autoremove_wake_function",
    "kernel/time/timer.c": "round_jiffies_relative",
    "ipc/msg.c": "msgsnd",
    "kernel/dma/contiguous.c": "dma_contiguous_reserve",
    "kernel/dma/direct.c": "__dma_direct_alloc_pages",
    "kernel/exit.c": "do_exit exit_mm release_task",
    "kernel/fork.c": "__mmdrop alloc_thread_stack_node copy_process dup_mmap free_thread_stack "
    "kernel_clone mm_alloc mm_init vm_area_alloc vm_area_dup",
    "kernel/panic.c": "panic print_tainted",
    "kernel/resource.c": "r_show",
    "kernel/smp.c": "smp_init",
    "kernel/trace/ring_buffer.c": "ring_buffer_event",
    "kernel/trace/trace_events.c": "trace_event_buffer_reserve",
    "kernel/trace/trace_output.c": "trace_print_context trace_print_lat_fmt",
    "net/core/dev.c": "net_rx_action poll",
    "net/core/page_pool.c": "page_pool_alloc_pages",
    "net/core/skbuff.c": "skbuff_small_head napi_skb_cache_get",
    "net/core/sock.c": "skb_page_frag_refill",
    "net/ipv4/tcp.c": "tcp_sendmsg_locked",
    "net/ipv4/tcp_input.c": "tcp_clean_rtx_queue",
}
#: A tracepoint's function is made of its name; the ones of kmalloc() are made by a macro.
_MADE = re.compile(r"trace_(\w+)|(\w+)_noprof")


def main() -> int:
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        print(__doc__, file=sys.stderr)
        return 2
    source = Source(Path(sys.argv[1]))
    named = (*of_lessons(), *of_exercises(), *of_docstrings())
    wanted = {(n.name, n.file): n.where for n in named}
    found = sorted(key for key in wanted if source.has(*key))
    DATA.write_text("".join(f"{name}\t{file}\n" for name, file in found), encoding="utf-8")
    for name, file in sorted(wanted.keys() - set(found)):
        print(f"{wanted[name, file]}: {name} is not in {file or 'the kernel'}")
    print(f"{len(found)} of {len(wanted)} names found", file=sys.stderr)
    return 0


class Source:
    """The words of each file of a kernel's source."""

    def __init__(self, root: Path) -> None:
        files = [path for path in root.rglob("*") if path.is_file()]
        self.words = {
            str(path.relative_to(root)): set(re.findall(r"\w+", path.read_text(errors="replace")))
            for path in files
        }
        for file, words in ELSEWHERE.items():
            self.words.setdefault(file, set(words.split()))
        self.all_words = set[str]().union(*self.words.values())

    def has(self, name: str, file: str) -> bool:
        if "/" in name:
            return name in self.words
        words = self.words.get(file, set()) if file else self.all_words
        made = _MADE.fullmatch(name)
        config = name.removeprefix("CONFIG_")
        others = [part for part in made.groups() if part] if made else []
        return any(word in words for word in (name, config, *others))


if __name__ == "__main__":
    sys.exit(main())
