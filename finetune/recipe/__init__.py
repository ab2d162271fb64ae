"""What a step of training does to weights: update rules, schedules, groups, regularisers."""
