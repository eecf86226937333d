{{ taxi_days('dropoff_area') }}
