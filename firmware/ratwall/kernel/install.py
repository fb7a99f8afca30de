"""Puts the box into the path of the packets, and takes it out again.

`Installation` is a context manager: on entry the rules are there, on exit (also by exception) every
rule, route, bridge and setting it made is gone. Running connections live through both.
"""

from dataclasses import replace
from ipaddress import ip_network
from types import TracebackType

from ratwall.kernel import links
from ratwall.kernel.command import ToolError, nft, require, run
from ratwall.kernel.ruleset import TABLE, RulesetConfig, reload_text, ruleset
from ratwall.kernel.tables import chains
from ratwall.kernel.undo import Journal, Undo, delete_queue_rule, has_table, succeeds

XTABLES = {"iptables": "ip", "ip6tables": "ip6"}  # tool → the family of its nft table
PROBE_TABLE = "ratwall_probe"  # a table without hooks: asks the kernel, touches no packet


def kernel_has_nft_queue() -> bool:
    """Say whether nftables can queue here."""
    return _takes("chain probe {\nqueue num 0 bypass\n}")


def kernel_has_ct_timeout() -> bool:
    """Say whether nftables knows conntrack's time-out policies here."""
    return _takes(
        "ct timeout probe {\nprotocol tcp; l3proto ip;\npolicy = { established: 7440 }\n}"
    )


def kernel_has_log() -> bool:
    """Say whether packets can be copied to a process."""
    return _takes("chain probe {\nlog group 0 snaplen 64\n}")


def _takes(content: str) -> bool:
    """Ask the kernel with a table without hooks, made and removed as one transaction."""
    table = f"inet {PROBE_TABLE}"
    try:
        nft(f"table {table} {{\n{content}\n}}\ndelete table {table}\n")
    except ToolError:
        return False
    return True


class Installation:
    """Ratwall's rules in the kernel for as long as the context lasts."""

    def __init__(
        self,
        config: RulesetConfig,
        *,
        bridge_mode: bool,
        create_bridge: bool,
        journal: Journal | None = None,
    ) -> None:
        self._config = config
        self._bridge_mode = bridge_mode
        self._create_bridge = create_bridge
        self._undo = Undo(journal)
        self._installed = config  # with what only the machine could tell
        self.failures: list[str] = []

    def __enter__(self) -> "Installation":
        require("nft", "ip")
        links.check_ports(self._config.lan, self._config.wan)
        try:
            self._install()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._remove()

    def _install(self) -> None:
        config = self._config
        bridge = None
        if self._bridge_mode:
            links.check_bridge_netfilter()
            if self._create_bridge:
                bridge = links.create_bridge(config.lan, config.wan, self._undo)
            else:
                bridge = links.find_bridge(config.lan, config.wan)
            links.add_last_resort_routes(self._undo)
        nft_queue = kernel_has_nft_queue()
        config = replace(
            config, bridge=bridge, nft_queue=nft_queue, ct_timeout=kernel_has_ct_timeout()
        )
        config = _sparing_the_way_out(config)
        if not nft_queue:
            require("iptables", "ip6tables")
        self._installed = config
        # Before the rules: the kernel switches accounting on by itself for a rule that counts, and
        # what was set before could not be told any more.
        links.apply_settings(self._undo)
        self._undo.add("tables")
        nft(ruleset(config))
        links.size_conntrack(config.connections, self._undo)
        if not nft_queue:
            self._add_xtables_queue()
        if bridge is not None:
            links.apply_settings(self._undo, links.TAGGED_SETTINGS)
            links.hand_bridge_to_rules(bridge, self._undo)

    def reload(self, config: RulesetConfig) -> None:
        """Put what `config` says of blocking in force, as one transaction; all else stays."""
        nft(reload_text(_sparing_the_way_out(config)))

    def is_intact(self) -> bool:
        """Say whether the rules are still where they were put: others may flush them."""
        rules_there = any((chain.table, chain.name) == (TABLE, "gate") for chain in chains())
        return rules_there and (
            self._installed.nft_queue
            or all(
                succeeds(tool, "-w", "-t", "mangle", "-C", *self._queue_rule()) for tool in XTABLES
            )
        )

    def repair(self) -> None:
        """Put the rules in again; what the sets held is the controller's to restore."""
        nft(ruleset(self._installed))
        if not self._installed.nft_queue:
            self._put_queue_rules()

    def _add_xtables_queue(self) -> None:
        """Queue by xtables where nftables cannot; everything else stays in nftables."""
        for tool, family in XTABLES.items():
            if not has_table(family, "mangle"):
                self._undo.add("empty table", family, "mangle")
            self._undo.add("queue rule", tool, *self._queue_rule())
        self._put_queue_rules()

    def _put_queue_rules(self) -> None:
        for tool in XTABLES:
            delete_queue_rule(tool, *self._queue_rule())  # of a predecessor without a journal
            run(tool, "-w", "-t", "mangle", "-I", *self._queue_rule())

    def _queue_rule(self) -> list[str]:
        config = self._installed
        bit = f"{config.marks.to_inspect:#x}"
        queues = ["--queue-num", str(config.queue)]
        if config.workers > 1:
            queues = ["--queue-balance", f"{config.queue}:{config.last_queue}"]
        match = ["FORWARD", "-m", "mark", "--mark", f"{bit}/{bit}"]
        return [*match, "-j", "NFQUEUE", *queues, "--queue-bypass"]

    @property
    def problem(self) -> str | None:
        """Why the journal is not complete, None if it is."""
        return self._undo.problem

    def _remove(self) -> None:
        self.failures = self._undo.restore()


def _sparing_the_way_out(config: RulesetConfig) -> RulesetConfig:
    """Return the rules with the box itself, its gateways and the office's router never blocked."""
    found = [ip_network(address) for address in links.own_addresses() + links.gateways()]
    hidden = links.hidden_routers(config.bridge)
    return replace(config, never_block=[*config.never_block, *found, *hidden])
