{{ taxi_features(ref('int_taxi_company_days'), 'company') }}
