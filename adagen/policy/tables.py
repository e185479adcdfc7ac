"""Tables of a policy, compared with the generator that they are to steer."""

from adagen.generators.actions import Actions
from adagen.policy.networks import ConstantTable, Policy, TabledNetwork
from adagen.runtime.errors import AdagenError


def require_fitting_table(policy: Policy, actions: Actions) -> None:
    """Refuse a table, alone or beside a network, of another size than the generator's actions.

    Args:
        policy: any; of one without a table nothing is known.
        actions: T calls of K actions.

    Raises:
        AdagenError: the table isn't (T, K).
    """
    part = policy.table if isinstance(policy, TabledNetwork) else policy
    calls, names = actions.calls, actions.names
    if isinstance(part, ConstantTable) and part.table.shape != (calls, len(names)):
        rows, columns = part.table.shape
        raise AdagenError(
            f"the policy's table is of {rows} calls and {columns} actions, but the generator is "
            f"called {calls} times, for {', '.join(names)}: give raw outputs of shape "
            f"({calls}, {len(names)}), a row for each call."
        )
