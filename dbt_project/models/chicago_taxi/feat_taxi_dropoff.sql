{{ taxi_features(ref('int_taxi_dropoff_days'), 'dropoff_area') }}
