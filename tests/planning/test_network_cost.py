from adagen.planning.network_cost import INCEPTION, inception_cost


def test_the_released_inception_costs_what_a_plan_says():
    assert inception_cost(1, 8) == INCEPTION
