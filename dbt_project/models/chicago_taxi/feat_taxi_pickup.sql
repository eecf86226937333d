{{ taxi_features(ref('int_taxi_pickup_days'), 'pickup_area') }}
