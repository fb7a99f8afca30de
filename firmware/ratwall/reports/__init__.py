"""What an inspector tells the controller, and what it is told back."""
