"""All rules, joined: a mirror among people, at Kling's mercy."""

from tests.simulation.rules_of_kling import RulesOfKling
from tests.simulation.rules_of_people import RulesOfPeople


class Machine(RulesOfKling, RulesOfPeople):
    """A mirror's life, in which anything may happen."""
