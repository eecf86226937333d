-- horizon_days = 1: how a day's trips were tipped is known at the midnight after it
{{ taxi_features(ref('int_taxi_pickup_days'), 'pickup_area') }}
