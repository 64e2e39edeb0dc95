"""What a training costs elsewhere: closed forms of models, dated devices and prices, hours and money."""
