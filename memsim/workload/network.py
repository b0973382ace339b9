"""Network: a receive ring refilled in atomic context, and a socket that sends."""

from __future__ import annotations

from random import Random

from memsim.lib.bits import PAGE_SIZE, get_order
from memsim.words.gfp import (
    __GFP_COMP,
    __GFP_DIRECT_RECLAIM,
    __GFP_NOMEMALLOC,
    __GFP_NORETRY,
    __GFP_NOWARN,
    GFP_ATOMIC,
    GFP_KERNEL,
)
from memsim.workload.checks import between
from memsim.workload.dma import COHERENT, dma_alloc_coherent
from memsim.workload.folio import Folio, folio_put
from memsim.workload.kernel import Kernel
from memsim.workload.request import Path
from memsim.workload.requester import Requester

#: Kernel: include/net/page_pool/types.h
PP_ALLOC_CACHE_SIZE = 128
PP_ALLOC_CACHE_REFILL = 64
#: Kernel: net/core/skbuff.c
NAPI_SKB_CACHE_BULK = 16
#: get_order(32768). Kernel: net/core/sock.c
SKB_FRAG_PAGE_ORDER = 3
SIZEOF_DESCRIPTOR = 16
#: As many as drivers let one ask for (ethtool -G).
_MOST_DESCRIPTORS = 8192
#: NET_RX_SOFTIRQ: packets of one poll. Kernel: include/linux/netdevice.h NAPI_POLL_WEIGHT
NAPI_POLL_WEIGHT = 64

GFP_SOFTIRQ = GFP_ATOMIC | __GFP_NOWARN
GFP_HEAD = GFP_KERNEL | __GFP_NOMEMALLOC | __GFP_NOWARN
GFP_FRAG = (GFP_KERNEL & ~__GFP_DIRECT_RECLAIM) | __GFP_COMP | __GFP_NOWARN | __GFP_NORETRY

RX_PAGES = Path(
    "network ring", "pages to receive into",
    "net/core/page_pool.c page_pool_alloc_pages() -> __page_pool_alloc_pages_slow()"
    " -> alloc_pages_bulk_array_node()",
    "gives up until the next poll",
)  # fmt: skip
RX_SKB = Path(
    "network ring", "sk_buffs, sixteen at once",
    "net/core/skbuff.c napi_build_skb() -> napi_skb_cache_get() -> kmem_cache_alloc_bulk()",
    "the packet is dropped",
)  # fmt: skip
TX_SKB = Path(
    "socket", "sk_buff, with room for its clone",
    "net/ipv4/tcp.c tcp_stream_alloc_skb() -> alloc_skb_fclone() -> net/core/skbuff.c"
    " __alloc_skb() -> kmem_cache_alloc_node()",
    "send() waits for memory",
)  # fmt: skip
TX_HEAD = Path(
    "socket", "head of a sk_buff",
    "net/core/skbuff.c __alloc_skb() -> kmalloc_reserve() -> kmem_cache_alloc_node()",
    "send() waits for memory",
)  # fmt: skip
TX_FRAG = Path(
    "socket", "data to be sent, 32 KiB",
    "net/core/sock.c sk_page_frag_refill() -> skb_page_frag_refill() -> alloc_pages()",
    "falls back to a single page",
)  # fmt: skip
TX_PAGE = Path(
    "socket", "data to be sent, one page",
    "net/core/sock.c sk_page_frag_refill() -> skb_page_frag_refill() -> alloc_page()",
    "send() waits for memory",
)  # fmt: skip


class NetworkRing(Requester):
    """The receive side of a network card: descriptors, a page in each, a page pool behind them.

    size: descriptors. dropped: packets for which there was no page or no sk_buff.
    NOT MODELLED: the pool's ptr_ring; pages come back to its cache, or are freed.
    """

    kind = "network ring"

    def __init__(self, kernel: Kernel, size: int = 256) -> None:
        super().__init__(kernel)
        between("size", size, 1, _MOST_DESCRIPTORS)
        self.size = size
        self._bytes = size * SIZEOF_DESCRIPTOR
        self.dropped = 0
        self.descriptors: int | None = None
        self.ring: list[int] = []
        self.received: list[tuple[int, int]] = []
        self._pool: list[int] = []
        self._skbs: list[int] = []

    def start(self) -> bool:
        """ndo_open: the descriptors, and a first fill."""
        self.descriptors = dma_alloc_coherent(self, COHERENT, self._bytes, GFP_KERNEL, 64)
        if self.descriptors is not None:
            self.refill()
        return self.descriptors is not None

    def refill(self) -> int:
        """A page into each empty descriptor: how many are filled then. Softirq: may not wait."""
        while len(self.ring) < self.size:
            pfn = self._page_pool_alloc()
            if pfn is None:
                break
            self.ring.append(pfn)
        return len(self.ring)

    def poll(self, nr_packets: int) -> int:
        """So many packets came: how many of them reach a socket. Then refill().

        Kernel: net/core/dev.c net_rx_action() -> a driver's napi_struct.poll()
        """
        between("nr_packets", nr_packets, 0)
        reached = 0
        for _ in range(min(nr_packets, NAPI_POLL_WEIGHT)):
            skb = self._napi_skb_cache_get() if self.ring else None
            if skb is None:
                self.dropped += 1
            else:
                self.received.append((skb, self.ring.pop(0)))
                reached += 1
        self.refill()
        return reached

    def recvmsg(self, nr_packets: int) -> int:
        """Somebody reads packets, the oldest first: how many. Their pages go back to the pool."""
        between("nr_packets", nr_packets, 0)
        taken = self.received[:nr_packets]
        del self.received[: len(taken)]
        for skb, pfn in taken:
            self.kmem_cache_free("skbuff_head_cache", skb)
            if len(self._pool) < PP_ALLOC_CACHE_SIZE:
                self._pool.append(pfn)
            else:
                self.free_pages(pfn)
        return len(taken)

    def step(self, chance: Random) -> None:
        """Packets come, or are read."""
        if chance.random() < 0.5:
            self.poll(chance.randint(1, NAPI_POLL_WEIGHT))
        else:
            self.recvmsg(chance.randint(1, NAPI_POLL_WEIGHT))

    def stop(self) -> None:
        """ndo_stop: every packet, page and descriptor."""
        self.recvmsg(len(self.received))
        for pfn in [*self.ring, *self._pool]:
            self.free_pages(pfn)
        for skb in self._skbs:
            self.kmem_cache_free("skbuff_head_cache", skb)
        if self.descriptors is not None:
            self.free_pages(self.descriptors, get_order(self._bytes))
        self.ring, self._pool, self._skbs, self.descriptors = [], [], [], None

    def _page_pool_alloc(self) -> int | None:
        """Kernel: net/core/page_pool.c page_pool_alloc_pages()."""
        if not self._pool:
            self._pool = self.alloc_pages_bulk(RX_PAGES, GFP_SOFTIRQ, PP_ALLOC_CACHE_REFILL)
        return self._pool.pop() if self._pool else None

    def _napi_skb_cache_get(self) -> int | None:
        """Kernel: net/core/skbuff.c napi_skb_cache_get()."""
        if not self._skbs:
            self._skbs = self.kmem_cache_alloc_bulk(
                RX_SKB, "skbuff_head_cache", GFP_SOFTIRQ, NAPI_SKB_CACHE_BULK
            )
        return self._skbs.pop() if self._skbs else None


class Socket(Requester):
    """A TCP socket that sends, in pieces of up to a page; what is acknowledged is freed.

    most: sk_buffs in flight. NOT MODELLED: pieces that share a sk_buff; zero copy.
    """

    kind = "socket"

    def __init__(self, kernel: Kernel, most: int = 64) -> None:
        super().__init__(kernel)
        between("most", most, 1)
        self.most = most
        #: (sk_buff, its head, the block that has its data)
        self.in_flight: list[tuple[int, int, Folio]] = []
        self._frag: Folio | None = None
        self._offset = 0

    def sendmsg(self, size: int) -> bool:
        """Send size bytes, a page at most; False without memory, and nothing is held.

        Kernel: net/ipv4/tcp.c tcp_sendmsg_locked()
        """
        between("size", size, 1, PAGE_SIZE)
        skb = self.kmem_cache_alloc(TX_SKB, "skbuff_fclone_cache", GFP_KERNEL)
        if skb is None:
            return False
        head = self.kmem_cache_alloc(TX_HEAD, "skbuff_small_head", GFP_HEAD)
        frag = self._page_frag(size) if head is not None else None
        if head is None or frag is None:
            if head is not None:
                self.kmem_cache_free("skbuff_small_head", head)
            self.kmem_cache_free("skbuff_fclone_cache", skb)
            return False
        self.in_flight.append((skb, head, frag))
        return True

    def acknowledge(self, count: int) -> int:
        """The oldest ones have arrived: how many were freed. Kernel: tcp_clean_rtx_queue()."""
        between("count", count, 0)
        done = self.in_flight[:count]
        del self.in_flight[: len(done)]
        for skb, head, frag in done:
            folio_put(self, frag)
            self.kmem_cache_free("skbuff_small_head", head)
            self.kmem_cache_free("skbuff_fclone_cache", skb)
        return len(done)

    def step(self, chance: Random) -> None:
        """Send, or hear of what was sent."""
        if len(self.in_flight) >= self.most or chance.random() < 0.3:
            self.acknowledge(chance.randint(1, 16))
        else:
            self.sendmsg(chance.randint(1, PAGE_SIZE))

    def stop(self) -> None:
        """Closed: nothing is in flight any more."""
        self.acknowledge(len(self.in_flight))
        if self._frag is not None:
            folio_put(self, self._frag)
        self._frag = None

    def _page_frag(self, size: int) -> Folio | None:
        """The block that has room for the data, with a reference for it."""
        if not self._skb_page_frag_refill(size) or self._frag is None:
            return None
        self._offset += size
        self._frag.refcount += 1
        return self._frag

    def _skb_page_frag_refill(self, size: int) -> bool:
        """Kernel: net/core/sock.c skb_page_frag_refill()."""
        frag = self._frag
        if frag is not None:
            if frag.refcount == 1:
                self._offset = 0
                return True
            if self._offset + size <= PAGE_SIZE << frag.order:
                return True
            folio_put(self, frag)
        self._frag, self._offset = self._new_frag(), 0
        return self._frag is not None

    def _new_frag(self) -> Folio | None:
        pfn = self.alloc_pages(TX_FRAG, GFP_FRAG, SKB_FRAG_PAGE_ORDER)
        if pfn is not None:
            return Folio(pfn, SKB_FRAG_PAGE_ORDER, anon=False)
        pfn = self.alloc_pages(TX_PAGE, GFP_KERNEL)
        return None if pfn is None else Folio(pfn, 0, anon=False)
