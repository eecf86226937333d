{{ taxi_days('company') }}
