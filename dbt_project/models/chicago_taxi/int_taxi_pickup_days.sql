{{ taxi_days('pickup_area') }}
